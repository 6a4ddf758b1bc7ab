"""The systems that keep orders, returns and money: one port, the embedded shop, adapters."""
