"""What the database is: tables, states, roles, policies, triggers and functions."""
