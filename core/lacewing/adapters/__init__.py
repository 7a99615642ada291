"""One technology a file. Whatever the engine needs of the world is here, behind a port."""
