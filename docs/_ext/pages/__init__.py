"""The parts of the site that are written from the package: one module a folder of pages."""
