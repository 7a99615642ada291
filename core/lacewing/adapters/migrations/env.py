"""Where Alembic starts: it works on the connection that it is given, within that one's transaction."""

from alembic import context

from lacewing.adapters.sql import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True
)
context.run_migrations()
