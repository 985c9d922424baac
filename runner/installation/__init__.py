"""How n8n and its launcher come to start this runner in place of their own."""
