"""Pages of the jobs room, one module per place; each view parses, asks permission, calls one verb and renders."""
