package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/fault"
	"github.com/labctl/labctl/labs"
)

type labsOptions struct {
	hint     int
	language string
}

func (a *app) newLabsCmd() *cobra.Command {
	var o labsOptions
	cmd := &cobra.Command{
		Use:   "labs [EXERCISE [--hint [N]]]",
		Short: "list the exercises, or show one",
		Long: `labs lists the exercises. With the number of one it shows its text, with the lab's own names and addresses.

  labctl labs 04             the text
  labctl labs 04 --hint      a first, gentle hint
  labctl labs 04 --hint 3    the first three hints
  labctl labs 04 --lang ko   the text in Korean

Without --lang the language is that of the locale (LC_ALL, LC_MESSAGES, LANG) if it is en or ko, else en.`,
		Args:              cobra.MaximumNArgs(2),
		ValidArgsFunction: completeExercises,
		RunE: func(cmd *cobra.Command, args []string) error {
			// pflag gives a flag that may stand alone no value from the next word: in "--hint 3" the 3 is an argument.
			if len(args) == 2 {
				n, err := strconv.Atoi(args[1])
				if err != nil || !cmd.Flags().Changed("hint") {
					return usage(fmt.Errorf("%s shows one exercise at a time", cmd.CommandPath()))
				}
				o.hint = n
			}
			return a.runLabs(args, o, cmd.Flags().Changed("hint"))
		},
	}
	cmd.Flags().IntVar(&o.hint, "hint", 0, "show the first N hints of the exercise instead of its text")
	cmd.Flags().Lookup("hint").NoOptDefVal = "1"
	cmd.Flags().StringVar(&o.language, "lang", "", "en or ko (default: the locale's)")
	return cmd
}

// exercises loads the exercises; each names only checks and faults that exist.
func exercises() ([]labs.Exercise, error) {
	var known labs.Known
	for _, c := range checks.Catalogue() {
		known.Checks = append(known.Checks, c.ID)
	}
	for _, f := range fault.Catalogue() {
		known.Faults = append(known.Faults, f.ID)
	}
	return labs.List(known)
}

func completeExercises(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, err := exercises()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Number+"\t"+e.Title.EN)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

type exerciseSummary struct {
	Number string   `json:"number"`
	Title  string   `json:"title"`
	Goal   string   `json:"goal"`
	Needs  string   `json:"needs"`
	Checks []string `json:"checks"`
	Faults []string `json:"faults"`
}

func (a *app) runLabs(args []string, o labsOptions, hints bool) error {
	language := labs.LocaleLanguage(a.env)
	if o.language != "" {
		var err error
		if language, err = labs.ParseLanguage(o.language); err != nil {
			return usage(fmt.Errorf("--lang: %w", err))
		}
	}
	all, err := exercises()
	if err != nil {
		return err
	}
	if len(args) == 0 {
		if hints {
			return usage(fmt.Errorf("--hint: say of which exercise"))
		}
		return a.listExercises(all, language)
	}
	if err := a.wantOutput("text"); err != nil {
		return err
	}
	e, err := labs.Get(all, args[0])
	if err != nil {
		return usage(err)
	}
	if hints && (o.hint < 1 || o.hint > len(e.Hints)) {
		return usage(fmt.Errorf("--hint %d: exercise %s has hints 1 to %d", o.hint, e.Number, len(e.Hints)))
	}
	lab, err := a.wanted()
	if err != nil {
		return err
	}
	page, err := labs.Render(e, language, lab)
	if err != nil {
		return err
	}
	page.Body = a.typed(page.Body)
	if page.Simulated != "" && a.simulate {
		page.Body = a.typed(page.Simulated) + "\n\n" + page.Body
	}
	for i, hint := range page.Hints {
		page.Hints[i] = a.typed(hint)
	}
	flag := ""
	if o.language != "" {
		flag = " --lang " + o.language
	}
	again := a.next("labs "+e.Number) + flag
	var t strings.Builder
	if hints {
		for i, text := range page.Hints[:o.hint] {
			fmt.Fprintf(&t, "%d. %s\n", i+1, text)
		}
		if o.hint < len(page.Hints) {
			fmt.Fprintf(&t, "next  %s --hint %d\n", again, o.hint+1)
		}
		a.ui.Print(t.String())
		return nil
	}
	fmt.Fprintf(&t, "# %s %s\n\n%s\n\n%s\n\n", page.Number, page.Title, page.Goal, strings.TrimSpace(page.Body))
	if len(e.Faults) > 0 {
		fmt.Fprintf(&t, "break %s (%s), then %s\n", a.next("break NAME"), strings.Join(e.Faults, ", "), a.next("fix"))
	}
	if a.simulate && strings.Contains(page.Body, "\n$ curl ") {
		t.WriteString(a.typed(fmt.Sprintf(noHost[language], lab.Server().Name)) + "\n")
	}
	fmt.Fprintf(&t, "hint  %s --hint\nnext  %s\n", again, a.next("verify "+page.Number))
	if i := slices.IndexFunc(all, func(o labs.Exercise) bool { return o.Number == e.Number }) + 1; i < len(all) {
		fmt.Fprintf(&t, "then  %s\n", a.next("labs "+all[i].Number)+flag)
	}
	a.ui.Print(t.String())
	return nil
}

// noHost says what a simulated lab has not: a network on the reader's computer.
var noHost = map[labs.Language]string{
	labs.English: "SIMULATED: the lab's network is inside labctl, so curl on this computer has no answer. On a node it has: labctl ssh %s",
	labs.Korean:  "SIMULATED: 랩의 네트워크는 labctl 안에만 있으므로 이 컴퓨터에서 실행하는 curl은 응답을 받지 못한다. 노드에서는 받는다: labctl ssh %s",
}

func (a *app) listExercises(all []labs.Exercise, language labs.Language) error {
	if err := a.wantOutput("text", "json"); err != nil {
		return err
	}
	lab, err := a.wanted()
	if err != nil {
		return err
	}
	var t strings.Builder
	var summaries []exerciseSummary
	for _, e := range all {
		page, err := labs.Render(e, language, lab)
		if err != nil {
			return err
		}
		summaries = append(summaries, exerciseSummary{page.Number, page.Title, page.Goal, string(e.Needs), e.Checks, append([]string{}, e.Faults...)})
		fmt.Fprintf(&t, "%s  %s  %s\n", page.Number, padded(page.Title, 28), page.Goal)
	}
	if a.output == "json" {
		return a.printJSON(struct {
			Schema    string            `json:"schema"`
			Exercises []exerciseSummary `json:"exercises"`
		}{schema, summaries})
	}
	fmt.Fprintf(&t, "next  %s\n", a.next("labs "+all[0].Number))
	a.ui.Print(t.String())
	return nil
}

// padded fills s with spaces up to a width in a terminal's cells, of which a Hangul syllable takes two.
func padded(s string, width int) string {
	for _, r := range s {
		width--
		if r >= '가' && r <= '힣' {
			width--
		}
	}
	return s + strings.Repeat(" ", max(0, width))
}
