"""Names of the networks whose gradients and scores are stored in float64 outside the project."""

NETWORKS = [
    "darts_cells",
    "nb101_module",
    "nb201_a_all_ops",
    "nb201_b_pool_heavy",
    "nb201_c_1x1_only",
    "nb201_d_dead_edges",
    "nb201_e_zero_output",
    "nb201_f_residual_3x3",
]
