"""What people use: the `dap` command, and later the Python client and the web page."""
