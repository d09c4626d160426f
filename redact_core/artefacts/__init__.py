"""Safe files: folders that are whole or absent, hashes, cards."""
