/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sentence.h"

#define WIDTH_MIN 30U

/* What begins alike: the longer first. tests/lint/phrases.py holds it against the sources of the sentences. */
static const struct {
        const char *service, *here;
} phrases[] = {
                {"call MakePassthrough, Grant or GrantIds for it",
                 "use 'passthroughctl make' or 'passthroughctl grant' for it"},
                {"Call MakePassthrough or Grant for them, or GrantIds for all devices with their ids",
                 "Use 'passthroughctl make' or 'passthroughctl grant' for them, or 'passthroughctl grant "
                 "IDS' for all "
                 "devices with their ids"},
                {"call GrantVfs for it first",
                 "'passthroughctl make' or 'passthroughctl vfs DEVICE NUMBER' gives consent"},
                {"Revoke that, then call GrantVfs",
                 "'passthroughctl return' takes that back, and then try again"},
                {"then Revoke and GrantVfs again",
                 "then 'passthroughctl return' takes the old consent back, and 'passthroughctl make' gives "
                 "a new one"},
                {"call Grant for it first, Check tells more",
                 "'passthroughctl grant' gives consent, 'passthroughctl check' tells more"},
                {"call Grant for its whole IOMMU set",
                 "'passthroughctl make' or 'passthroughctl grant' gives consent for its whole IOMMU set"},
                {"call Grant", "use 'passthroughctl grant'"},
                {"and Grant again", "and grant it again"},
                {"remove it and GrantVfs again", "remove it, and 'passthroughctl make' gives a new one"},
                {"call RevokeIds", "use 'passthroughctl revoke IDS'"},
                {"call ReturnToHost for it first, and then Grant",
                 "'passthroughctl return' takes that back, and 'passthroughctl grant' is for it as a whole"},
                {"Call ReturnToHost for it first", "'passthroughctl return' takes that back"},
                {"call ReturnToHost for it first", "'passthroughctl return' takes it out of there"},
                {"call ReturnToHost for what is to blame, Bind what you need now",
                 "'passthroughctl return' what is to blame, 'passthroughctl bind' what you need now"},
                {"call ReturnToHost", "use 'passthroughctl return'"},
                {"call Bind to take it again, or ReturnToHost to leave it",
                 "'passthroughctl bind' takes it again, 'passthroughctl return' leaves it"},
                {"Bind it before a reset", "'passthroughctl bind' moves it there"},
                {"Release it before its grant is taken back", "'passthroughctl release' brings it home"},
                {"call Release again", "release it again"},
                {"then Release.", "then 'passthroughctl release'."},
                {"call EndQuarantine", "use 'passthroughctl end-quarantine'"},
                {"Confirm or Revert that first",
                 "decide that first by 'passthroughctl confirm' or 'passthroughctl revert'"},
                {"Revert the change", "revert the change"},
                {"Revert what is left of the change",
                 "'passthroughctl revert' undoes what is left of the change"},
                {"see ConfirmUntil", "'passthroughctl show' shows one that waits"},
                {"wait until ConfirmUntil is 0",
                 "wait until 'passthroughctl show' does not show it any more"},
                {"leave them out, or Update the group first",
                 "leave them out, or change the group first by 'passthroughctl group edit'"},
                {"leave the option out, or Update the group first",
                 "leave the option out, or change the group first by 'passthroughctl group edit'"},
                {"; name them too, as devices or as siblings", "; name them too, or give --whole-set"},
                {"; name these too, they would move along", "; name these too, or give --whole-set"},
                {"Device.Critical lists", "'passthroughctl show' lists"},
                {"in the option \"consent\"", "in --consent"},
                {" (StopVm)", ""},
                {"Revoke that grant to pass it as a whole",
                 "'passthroughctl return' takes that back, to pass it as a whole"},
                {"and stays with the host itself; call ReturnToHost for it first",
                 "and stays with the host itself; 'passthroughctl return' takes that back"},
                {"is not at the host; Release it, or have all of them removed, before their grant is taken "
                 "back",
                 "is not at the host; 'passthroughctl return' takes all of them away, and their grant"},
                {"are left alone; Bind it first",
                 "are left alone; 'passthroughctl bind' takes it from there"},
                {"makes virtual functions; Release it first",
                 "makes virtual functions; 'passthroughctl release' brings it home"},
                {"call SetVfCount for it", "use 'passthroughctl vfs DEVICE NUMBER' for it"},
                {"SetVfCount for another number", "'passthroughctl vfs DEVICE NUMBER' for another number"},
                {"mend that and call SetVfs again", "mend that and try again"},
                {"with the option \"sriov\" of Update", "by 'passthroughctl group edit GROUP --vfs'"},
                {"name a device whose SriovTotalVfs is not 0",
                 "'passthroughctl vfs' shows which devices can"},
                {"give \"vfs\", 1 to", "give --vfs, 1 to"},
                {", in \"sriov\".", "."},
                {"leave \"sriov\" out", "leave these settings out"},
                {"leave \"mac-addresses\" out", "leave --mac out"},
                {"in \"overridable\" of the option \"sriov\"", "in --overridable"},
                {" of the option \"sriov\"", ""},
                {"in the option \"mac-addresses\"", "in --mac"},
                {"add \"mac\" to \"overridable\" of the group",
                 "add mac to the list by 'passthroughctl group edit GROUP --overridable'"},
                {"add it to \"overridable\" of the group",
                 "add it to the list by 'passthroughctl group edit GROUP --overridable'"},
                {"The option \"confirm-seconds\"", "The option --confirm"},
                {"StopVm ends it, and Claim.Start starts a further claim",
                 "'passthroughctl vm stop' ends it"},
                {"StopVm need not be called again", "'passthroughctl vm stop' need not be repeated"},
                {"(option wait)", "(--wait)"},
                {"enable the group first", "'passthroughctl group edit GROUP --enable' switches it on"},
                {"have devices added to the group, or ask for fewer",
                 "have devices added by 'passthroughctl make', or ask for fewer by 'passthroughctl claim "
                 "edit "
                 "--count'"},
                {"what each of them waits for, it says itself (Reason, Attention)",
                 "'passthroughctl list --group GROUP' tells what each of them waits for"},
                {"take the access \"acl\"", "take --access=acl"},
                {"with access \"acl\"", "with --access=acl"},
                {"; call again with interactive authorization allowed", ", which was ruled out"},
                {"; call again to be asked again", "; try again"},
};

static size_t find_phrase(const char *text) {
        for (size_t i = 0; i < ELEMENTSOF(phrases); i++)
                if (startswith(text, phrases[i].service))
                        return i;
        return SIZE_MAX;
}

char *sentence_translate(const char *text) {
        char *result = NULL;
        size_t size;
        FILE *f = open_memstream(&result, &size);

        if (!f)
                return NULL;
        while (*text) {
                size_t i = find_phrase(text);

                if (i == SIZE_MAX)
                        (void)fputc(*text++, f);
                else {
                        (void)fputs(phrases[i].here, f);
                        text += strlen(phrases[i].service);
                }
        }
        if (fclose(f) == 0)
                return result;
        free(result);
        return NULL;
}

/* How many bytes of the text fit, up to a blank; a word that is longer than a line goes over it. */
static size_t measure_line(const char *text, size_t width) {
        size_t best = 0;

        for (const char *end = text; *end; end += *end == ' ') {
                _cleanup_free_ char *line = NULL;

                end += strcspn(end, " ");
                line = strndup(text, (size_t)(end - text));
                if (best > 0 && (!line || text_columns(line) > width))
                        break;
                best = (size_t)(end - text);
        }
        return best;
}

void sentence_wrap(const char *text, Tint tint, size_t at, size_t column, size_t end) {
        const char *before = tint == TINT_NONE ? "" : output_tint(stdout, tint);
        const char *behind = tint == TINT_NONE ? "" : output_tint(stdout, TINT_NONE);

        for (; *text; at = column) {
                size_t width = end > at ? end - at : 1;
                size_t n = text_columns(text) > width ? measure_line(text, width) : strlen(text);
                _cleanup_free_ char *line = strndup(text, n);

                (void)fputs(before, stdout);
                (void)output_text(stdout, line ? line : text, SIZE_MAX);
                (void)fputs(behind, stdout);
                text += line ? n + strspn(text + n, " ") : strlen(text);
                if (*text)
                        (void)printf("\n%*s", (int)column, "");
        }
}

void sentence_print(const char *text, Tint tint, size_t at, size_t column) {
        _cleanup_free_ char *translation = sentence_translate(text);
        size_t end = output_columns();

        sentence_wrap(translation ? translation : text, tint, at, column,
                      end < column + WIDTH_MIN ? column + WIDTH_MIN : end);
        (void)fputc('\n', stdout);
}
