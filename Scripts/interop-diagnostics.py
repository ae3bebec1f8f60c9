#!/usr/bin/env python3
"""RankMe, LiDAR, alpha-ReQ and leave-one-out k-NN in plain NumPy, written from the papers: what massl's are compared with.

    Scripts/interop-diagnostics.py                      # the table that Tests/EvaluationTests/DiagnosticsTests.swift has
    Scripts/interop-diagnostics.py FEATURES.npy ...     # the figures of a matrix of features, [pictures, width]

As a module: rank_me(features), lidar(features), alpha_req(features), leave_one_out(features, classes).
"""

import sys

import numpy as np


def smooth_rank(values):
    """exp of the entropy of the values' shares, with the papers' 1e-7."""
    if values.sum() <= 0:
        return 0.0
    shares = values / values.sum() + 1e-7
    return float(np.exp(-(shares * np.log(shares)).sum()))


def rank_me(features):
    """Garrido et al. 2023. features: [pictures, width]."""
    return smooth_rank(np.linalg.svd(np.asarray(features, np.float64), compute_uv=False))


def lidar(features, delta=1e-4):
    """Thilak et al. 2024. features: [pictures, views, width]."""
    features = np.asarray(features, np.float64)
    means = features.mean(axis=1)
    apart = (features - means[:, None]).reshape(-1, features.shape[2])
    within = apart.T @ apart / len(apart) + delta * np.eye(features.shape[2])
    between = np.cov(means.T, bias=True).reshape(within.shape)
    values, vectors = np.linalg.eigh(within)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    return smooth_rank(np.clip(np.linalg.eigvalsh(root @ between @ root), 0, None))


def alpha_req(features):
    """Agrawal et al. 2022: the exponent of the covariance's spectrum, fitted as Stringer et al. 2019 do."""
    features = np.asarray(features, np.float64)
    values = np.linalg.svd(features - features.mean(axis=0), compute_uv=False)[: len(features) - 1] ** 2
    if values[0] == 0:
        return 0.0
    components = np.arange(1, len(values) + 1) if len(values) < 22 else np.arange(11, min(50, len(values)) + 1)
    spectrum = np.log(np.maximum(values[components - 1], 1e-12 * values[0]))
    # np.polyfit weighs residuals, not their squares.
    return float(-np.polyfit(np.log(components), spectrum, 1, w=components**-0.5)[0])


def leave_one_out(features, classes, neighbors=20, temperature=0.07):
    """How many pictures get their own class by a vote of the others' nearest. classes: [pictures]."""
    features = np.asarray(features, np.float64)
    features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6)
    similarities = features @ features.T
    np.fill_diagonal(similarities, -np.inf)
    right = 0
    for row, own in zip(similarities, classes):
        nearest = np.argsort(-row, kind="stable")[: min(neighbors, len(row) - 1)]
        votes = np.bincount(np.asarray(classes)[nearest], np.exp(row[nearest] / temperature), max(classes) + 1)
        right += int(votes.argmax() == own)
    return right


def formula(pictures, views, width):
    """Features that any language can make: a picture's part, a view's, and fewer large numbers the further right."""
    p, v, c = np.ix_(np.arange(1, pictures + 1), np.arange(1, views + 1), np.arange(1, width + 1))
    value = np.sin(p * c * 0.37 + p * p * 0.11) / c + 0.2 * np.cos(v * 1.3 + p * c * 0.71) / np.sqrt(c)
    return value.astype(np.float32)


def main():
    if len(sys.argv) > 1:
        for path in sys.argv[1:]:
            features = np.load(path)
            print(f"{path}: RankMe {rank_me(features):.4f}, alpha-ReQ {alpha_req(features):.4f}")
        return
    for pictures, views, width in [(40, 3, 8), (30, 4, 64), (200, 4, 24), (300, 2, 96)]:
        features = formula(pictures, views, width)
        flat = features[:, 0]
        right = leave_one_out(flat, [p % 3 for p in range(pictures)], neighbors=5)
        print(
            f"    ({pictures}, {views}, {width}, {rank_me(flat):.6f}, {lidar(features):.6f}, "
            f"{alpha_req(flat):.6f}, {right}),"
        )


if __name__ == "__main__":
    main()
