"""The intent: who belongs together, who may open what to whom, and in which class."""
