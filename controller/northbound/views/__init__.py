"""Responses of the northbound interface, made from the plan and the controller's state and counters. Pure."""
