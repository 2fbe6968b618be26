-- What PostgreSQL alone gives: `batch` executions of one project from enqueue to completed, each
-- with a version of a document, in three calls and with no worker, queue or agent between them.
\set place random(1, :places)
SELECT (string_to_array(:projects, ' '))[:place] AS project \gset
SELECT array_agg(execution_id) AS executions FROM enqueue_executions(
    :project::uuid, array_fill('draft'::text, ARRAY[:batch::int]),
    array_fill(:input::jsonb, ARRAY[:batch::int]), array_fill(:user::uuid, ARRAY[:batch::int]),
    array_fill(NULL::uuid, ARRAY[:batch::int]), array_fill(NULL::text, ARRAY[:batch::int]),
    array_fill(NULL::timestamptz, ARRAY[:batch::int]), array_fill(0, ARRAY[:batch::int]),
    array_fill(NULL::int, ARRAY[:batch::int])) \gset
SELECT array_agg(attempt) AS attempts FROM claim_executions(
    :project::uuid, :executions::uuid[], 'limit', interval '30 s', '{draft}', '{3}') \gset
SELECT count(*) FROM complete_executions(
    :project::uuid, 'limit', :executions::uuid[], :attempts::int[],
    array_fill(:output::jsonb, ARRAY[:batch::int]), ARRAY(SELECT generate_series(1, :batch::int)),
    array_fill('article'::text, ARRAY[:batch::int]), array_fill(:content::text, ARRAY[:batch::int]),
    array_fill('{}'::jsonb, ARRAY[:batch::int]), array_fill(NULL::float8, ARRAY[:batch::int]),
    array_fill(NULL::float8, ARRAY[:batch::int]), array_fill(NULL::int, ARRAY[:batch::int]),
    '{}', '{}', '{}', '{}');
