-- Final states stay, and attempts only go up, whoever asks.
CREATE FUNCTION refuse_illegal_move() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'an execution cannot go from % (attempt %) to % (attempt %)',
        OLD.status, OLD.attempt, NEW.status, NEW.attempt
        USING ERRCODE = 'CD006';
END
$$;
