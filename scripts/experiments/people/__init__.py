"""Shared by the scripts that grade gates on people: folders, embeddings, grades, the attack."""
