/* Losses: value of each sample in double, gradient times `weight` (1 / group size: the mean over a group). */

static void ZS_REF(cross_entropy)(int K, int n0, int n1, const zs_view *logits, const int64_t *labels, double weight,
                                  double *loss, const zs_view *dlogits) {
    for (int n = n0; n < n1; n++) {
        const real *z = at(logits, n, 0, 0);
        double top = (double)z[0], sum = 0;
        for (int k = 1; k < K; k++)
            if ((double)z[k] > top || isnan(z[k])) top = (double)z[k];
        for (int k = 0; k < K; k++) sum += exp((double)z[k] - top);
        loss[n] = log(sum) - ((double)z[labels[n]] - top);
        if (!dlogits->p) continue;
        real *g = at_mut(dlogits, n, 0, 0);
        for (int k = 0; k < K; k++) g[k] = (real)(weight * (exp((double)z[k] - top) / sum - (k == labels[n])));
    }
}

static void ZS_REF(sum_logits)(int K, int n0, int n1, const zs_view *logits, const int64_t *labels, double weight,
                               double *loss, const zs_view *dlogits) {
    (void)labels;
    for (int n = n0; n < n1; n++) {
        const real *z = at(logits, n, 0, 0);
        loss[n] = 0;
        for (int k = 0; k < K; k++) loss[n] += (double)z[k];
        for (int k = 0; dlogits->p && k < K; k++) at_mut(dlogits, n, 0, 0)[k] = (real)weight;
    }
}

static void ZS_REF(cross_entropy_tangent)(int K, int n0, int n1, const zs_view *logits, const int64_t *labels,
                                          double weight, double *loss, const zs_view *dlogits) {
    for (int n = n0; n < n1; n++) {
        const real *z = at(logits, n, 0, 0), *t = z + K;
        double top = (double)z[0], sum = 0, mean = 0;
        for (int k = 1; k < K; k++)
            if ((double)z[k] > top || isnan(z[k])) top = (double)z[k];
        for (int k = 0; k < K; k++) sum += exp((double)z[k] - top);
        for (int k = 0; k < K; k++) mean += exp((double)z[k] - top) / sum * (double)t[k];
        loss[n] = mean - (double)t[labels[n]];
        if (!dlogits->p) continue;
        real *dz = at_mut(dlogits, n, 0, 0), *dt = dz + K;
        for (int k = 0; k < K; k++) {
            const double p = exp((double)z[k] - top) / sum;
            dz[k] = (real)(weight * p * ((double)t[k] - mean));
            dt[k] = (real)(weight * (p - (k == labels[n])));
        }
    }
}
