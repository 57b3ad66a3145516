"""The way in over HTTP: one Flask application (`application`), its server (`server`), and who may do what (`accounts`)."""
