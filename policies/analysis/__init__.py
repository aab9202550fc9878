"""Policy analysis: textual changes between policies, semantic differences between plans, explanations of denials."""
