"""Results for people and for other tools: terminal, JSON, CSV, arrays and figures. No arithmetic of the machine."""
