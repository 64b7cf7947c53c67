"""Makes tests/golden/evaluation.json: numbers of scikit-learn and pROC for scores that tests write down as formulas.

Needs scikit-learn 1.2 and R with pROC 1.18 (Debian 12: python3-sklearn, r-cran-proc).
    python3 tests/golden-tools/evaluation_numbers.py > tests/golden/evaluation.json
"""
import json
import math
import subprocess

import numpy as np
import sklearn
from sklearn import metrics
from sklearn.calibration import calibration_curve

LABELS = [0, 0, 0, 1, 1, 2, 3, 0, 1, 2]


def single(count=120, K=4):
    labels = np.array([LABELS[n % 10] for n in range(count)])
    z = [[round(2 * math.sin(1.7 * n + 2.3 * k + 0.5 * n * k), 3) + (1.5 if labels[n] == k else 0) for k in range(K)]
         for n in range(count)]
    return labels, np.array(z)


def several(count=50, K=3):
    z = np.array([[round(2 * math.sin(0.9 * n + 1.1 * k), 1) for k in range(K)] for n in range(count)])
    y = np.array([[int(math.sin(0.9 * n + 1.1 * k + 0.8 * math.sin(5 * n)) > 0.3 * k) for k in range(K)] for n in range(count)])
    known = np.array([[int((n + 2 * k) % 7 != 0) for k in range(K)] for n in range(count)])
    return y, z, known


def wilson(x, n, z=1.959963984540054):
    """The two roots of (p - P)^2 = z^2 P (1 - P) / n."""
    p = x / n
    low, high = sorted(np.roots([1 + z * z / n, -2 * p - z * z / n, p * p]).real)
    return p, low, high


def newcombe(a, b, c, d):
    n = a + b + c + d
    p1, l1, u1 = wilson(a + b, n)
    p2, l2, u2 = wilson(a + c, n)
    B = a * d - b * c
    B = B - n / 2 if B > n / 2 else min(B, 0)
    area = (a + b) * (c + d) * (a + c) * (b + d)
    phi = B / math.sqrt(area) if area else 0
    low = math.sqrt((p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2)
    high = math.sqrt((u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2)
    return [p1 - p2, p1 - p2 - low, p1 - p2 + high]


def pROC(y, scores):
    """AUC and DeLong's interval."""
    code = (f"suppressMessages(library(pROC)); r <- roc(c({','.join(map(str, y))}), c({','.join(map(repr, map(float, scores)))}),"
            " direction='<', quiet=TRUE); cat(sprintf('%.17g', as.numeric(ci.auc(r, method='delong'))[c(2, 1, 3)]))")
    return [float(t) for t in subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True).stdout.split()]


def R_wilson(x, n):
    code = f"cat(sprintf('%.17g', prop.test({x}, {n}, correct=FALSE)$conf.int))"
    low, high = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True).stdout.split()
    return [x / n, float(low), float(high)]


labels, z = single()
p = np.exp(z - z.max(1, keepdims=True))
p /= p.sum(1, keepdims=True)
said = z.argmax(1)
confidence = p.max(1)
precision, recall, f1, _ = metrics.precision_recall_fscore_support(labels, said)
accuracy_of_bin, confidence_of_bin = calibration_curve((labels == said).astype(int), confidence, n_bins=15)
edges = np.searchsorted(np.linspace(0, 1, 16)[1:-1], confidence)
sizes = np.bincount(edges, minlength=15)
sizes = sizes[sizes > 0]
y, s, known = several()
label_rows = [known[:, k] == 1 for k in range(3)]
ties = [round(math.sin(3 * n) * 2) / 2 for n in range(40)]
tie_labels = [int((n * n) % 5 < 2) for n in range(40)]

print(json.dumps({
    "made with": f"scikit-learn {sklearn.__version__}, pROC 1.18.0, numpy {np.__version__}",
    "single": {
        "accuracy": metrics.accuracy_score(labels, said),
        "balancedAccuracy": metrics.balanced_accuracy_score(labels, said),
        "macroF1": metrics.f1_score(labels, said, average="macro"),
        "precision": precision.tolist(), "recall": recall.tolist(), "f1": f1.tolist(),
        "confusion": metrics.confusion_matrix(labels, said).tolist(),
        "macroAuc": metrics.roc_auc_score(labels, p, multi_class="ovr", average="macro"),
        "handTill": metrics.roc_auc_score(labels, p, multi_class="ovo", average="macro"),
        "auc": [pROC((labels == k).astype(int), p[:, k]) for k in range(4)],
        "logLoss": metrics.log_loss(labels, p),
        "brier": float(((p - np.eye(4)[labels]) ** 2).sum(1).mean()),
        "ece": float((sizes / sizes.sum() * np.abs(accuracy_of_bin - confidence_of_bin)).sum()),
        "binSizes": sizes.tolist(), "binAccuracy": accuracy_of_bin.tolist(), "binConfidence": confidence_of_bin.tolist(),
    },
    "several": {
        "auc": [pROC(y[r, k], s[r, k]) for k, r in enumerate(label_rows)],
        "f1": [metrics.f1_score(y[r, k], s[r, k] > 0) for k, r in enumerate(label_rows)],
        "balanced": [metrics.balanced_accuracy_score(y[r, k], s[r, k] > 0) for k, r in enumerate(label_rows)],
        "accuracy": metrics.accuracy_score(y[known == 1], s[known == 1] > 0),
        "logLoss": metrics.log_loss(y[known == 1], 1 / (1 + np.exp(-s[known == 1]))),
        "brier": metrics.brier_score_loss(y[known == 1], 1 / (1 + np.exp(-s[known == 1]))),
    },
    "ties": pROC(tie_labels, ties),
    "wilson": {f"{x}/{n}": R_wilson(x, n) for x, n in [(81, 263), (15, 148), (0, 20), (1, 29), (29, 29)]},
    "newcombe": {",".join(map(str, t)): newcombe(*t) for t in [(36, 12, 2, 0), (14, 5, 0, 22), (1, 1, 7, 12), (20, 0, 0, 0), (50, 1, 2, 30)]},
}, indent=1))
