"""Everything that is remembered: tables, transactions and the audit chain. The only home of SQL."""
