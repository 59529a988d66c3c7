#include "spaces/nds.h"

#include <stdio.h>

/* `name`=number; */
static int read_option(zs_reader *r, const char *name, int most) {
    const zs_expected_text what = zs_expected("'%s=' and a number from 1 to %d", name, most);
    if (!zs_read_literal(r, name, what.text) || !zs_read_char(r, '=', what.text)) return -1;
    const int value = zs_read_number(r, 1, most, what.text);
    return value > 0 && zs_read_char(r, ';', "';' after a number") ? value : -1;
}

zs_status zs_nds_parse(const zs_genotype_rules *rules, const char *text, size_t len, int *genes, zs_error *err) {
    zs_reader r = {text, len, 0, err};
    genes[0] = read_option(&r, "w", ZS_NDS_MAX_WIDTH);
    if (genes[0] < 0) return err->status;
    genes[1] = read_option(&r, "d", ZS_NDS_MAX_DEPTH);
    if (genes[1] < 0) return err->status;
    return zs_genotype_read(&r, rules, genes + 2) && zs_read_end(&r) ? ZS_OK : err->status;
}

zs_status zs_nds_check(const zs_genotype_rules *rules, const int *genes, zs_error *err) {
    if (genes[0] < 1 || genes[0] > ZS_NDS_MAX_WIDTH)
        return zs_fail(err, ZS_EARCH, "width: expected 1 to %d, got %d", ZS_NDS_MAX_WIDTH, genes[0]);
    if (genes[1] < 1 || genes[1] > ZS_NDS_MAX_DEPTH)
        return zs_fail(err, ZS_EARCH, "depth: expected 1 to %d, got %d", ZS_NDS_MAX_DEPTH, genes[1]);
    return zs_genotype_check(rules, genes + 2, err);
}

void zs_nds_format(const zs_genotype_rules *rules, const int *genes, char *out) {
    const size_t at = (size_t)snprintf(out, ZS_MAX_ARCH_TEXT, "w=%d;d=%d;", genes[0], genes[1]);
    zs_genotype_format(rules, genes + 2, out + at, ZS_MAX_ARCH_TEXT - at);
}

zs_status zs_nds_build(const zs_space *space, const zs_genotype_rules *rules, const int *genes,
                       const zs_space_args *args, zs_graph **graph, zs_error *err) {
    const zs_status st = zs_space_args_check(space, args, err);
    if (st != ZS_OK) return st;
    zs_space_args own = *args;
    own.channels = genes[0];
    own.cells = genes[1];
    const zs_genotype genotype = zs_genotype_of_genes(rules, genes + 2);
    return zs_darts_cells_build(rules, &genotype, &own, graph, err);
}
