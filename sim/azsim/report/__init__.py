"""Results for people and other tools: terminal, JSON, CSV, arrays and figures (docs/reports.md)."""
