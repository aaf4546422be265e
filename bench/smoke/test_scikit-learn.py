"""Models learn from examples what they should, and say the same again."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import SVC

x, y = load_iris(return_X_y=True)
for model in (LogisticRegression(max_iter=1000), RandomForestClassifier(10, random_state=0), SVC()):
    assert model.fit(x, y).score(x, y) > 0.95, model
line = LinearRegression().fit(np.arange(10.0)[:, None], 3 * np.arange(10.0) + 1)
assert np.allclose([line.coef_[0], line.intercept_], [3, 1])
assert PCA(2).fit(x).explained_variance_ratio_[0] > 0.9
assert len(set(KMeans(3, n_init=3, random_state=0).fit_predict(x))) == 3
