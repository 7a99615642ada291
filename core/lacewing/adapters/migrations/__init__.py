"""The history of the tables: one numbered file for each step that a database may be behind."""
