"""The report: static pages that are read without a server, without JavaScript and without a network."""
