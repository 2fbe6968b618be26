"""How a database gets from one release to the next: Alembic's environment, and the migrations."""
