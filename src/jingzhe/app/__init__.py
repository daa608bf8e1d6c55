"""The only wiring: settings to stores to parts. The workspace is what library, command line and server stand on."""
