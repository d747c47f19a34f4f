"""The site's own Sphinx extensions, one idea a file."""
