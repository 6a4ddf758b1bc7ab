"""The tools of the returns kind: records, typed reads and writes, and facts for its policy."""
