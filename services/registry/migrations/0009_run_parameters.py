"""The texts of a run's parameters, each taken out of its own value."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """The function said the same, but read all parameters for each of them: some megabytes took seconds, and tens of
    megabytes all memory."""
    op.execute(
        r"""
        CREATE OR REPLACE FUNCTION parameters_of_run(parameters jsonb)
        RETURNS TABLE (key text, text text, number double precision) LANGUAGE sql IMMUTABLE AS $$
            SELECT one.key, written.text,
                CASE WHEN jsonb_typeof(one.value) IN ('number', 'string') AND length(written.text) <= 400
                    AND written.text ~ '^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]{1,2})?$'
                    AND (jsonb_typeof(one.value) = 'number' OR length(written.text) <= 100)
                THEN written.text::double precision END
            FROM jsonb_each(parameters) AS one, LATERAL (
                SELECT CASE jsonb_typeof(one.value)
                    WHEN 'number' THEN trim_scale(one.value::numeric)::text ELSE one.value #>> '{}'
                END AS text
            ) AS found, LATERAL (SELECT coalesce(found.text, 'null') AS text) AS written
        $$
        """
    )
