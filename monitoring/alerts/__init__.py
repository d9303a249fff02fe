"""From signals to people: rules, findings, episodes, delivery."""
