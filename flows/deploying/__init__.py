"""What `stillhouse deploy` works with: what is deployed already, and what the server does by itself."""
