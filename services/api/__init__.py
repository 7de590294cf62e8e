"""The HTTP interface: a plain FastAPI application, made of the parts it is given."""
