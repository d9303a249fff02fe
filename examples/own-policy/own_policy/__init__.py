"""Three policies for Everloop: what to label, when to retrain, what to train on."""
