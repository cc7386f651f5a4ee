"""Rules of this site: a file each, found because it lies here (docs/site-rules.md)."""
