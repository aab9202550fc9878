"""Scenarios: timelines of traffic and faults on an emulated network, and the verdict on them.

Entry point: `repetition.campaign.run_scenario`. `spec` reads scenario files, `traffic` plans and sends, `results`
measures, judges and reports, `run` follows the timeline, `authoring` helps to write scenarios, `repetition` runs them
again and again, `library` has those that come with the package.

May import every package but `cli`. Inside, imports go one way (a test holds it):

    spec <- traffic <- results <- run <- authoring <- repetition
"""
