"""Ten hospitals, with unlike patients, learn to tell benign from malignant tumours.

* `federated`  the data, the model and the app
"""
