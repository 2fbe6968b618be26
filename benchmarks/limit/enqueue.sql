-- What PostgreSQL alone gives: `batch` executions of one project enqueued in a call.
\set place random(1, :places)
SELECT count(*) FROM enqueue_executions(
    (string_to_array(:projects, ' '))[:place]::uuid, array_fill('draft'::text, ARRAY[:batch::int]),
    array_fill(:input::jsonb, ARRAY[:batch::int]), array_fill(:user::uuid, ARRAY[:batch::int]),
    array_fill(NULL::uuid, ARRAY[:batch::int]), array_fill(NULL::text, ARRAY[:batch::int]),
    array_fill(NULL::timestamptz, ARRAY[:batch::int]), array_fill(0, ARRAY[:batch::int]),
    array_fill(NULL::int, ARRAY[:batch::int]));
