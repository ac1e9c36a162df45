"""What `calliyo.api.sync.HorizonHere` asks where ids are open: as a function, a page that needs no answer pays nothing.

PostgreSQL makes a plan's nodes ready for each execution, whether it comes to them or not.
"""

from django.db import migrations

FUNCTION = """
    CREATE OR REPLACE FUNCTION calliyo_horizon_here() RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
    BEGIN
        RETURN (
            SELECT least(min(xact_start) FILTER (
                WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'
            ), transaction_timestamp())
            FROM pg_stat_get_activity(NULL) WHERE backend_xid IS NOT NULL
            HAVING array_agg(backend_xid::text) @> ARRAY(
                SELECT xid::xid::text FROM pg_snapshot_xip(pg_current_snapshot()) AS xip (xid)
                UNION ALL
                SELECT (xmax::text::bigint + number)::text::xid8::xid::text
                FROM pg_snapshot_xmax(pg_current_snapshot()) AS xmax, generate_series(0, age(xmax::xid) - 1) AS number
            )
        );
    END $$
"""


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(FUNCTION)


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION calliyo_horizon_here()")


class Migration(migrations.Migration):
    dependencies = [("calliyo", "0002_spent_form_numbers")]

    operations = [migrations.RunPython(create, drop)]
