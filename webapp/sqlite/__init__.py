"""Django's SQLite backend, whose connections outlive the request that opened them."""
