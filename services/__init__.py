"""The library as a service: unpack, call dap_core, report."""
