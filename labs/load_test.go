package labs

import (
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/config"
)

func TestGet(t *testing.T) {
	exercises := all(t)
	for _, number := range []string{"2", "02"} {
		if e, err := Get(exercises, number); err != nil || e.Title.EN != "INTERNAL-IP" {
			t.Errorf("%q: %q, %v", number, e.Title, err)
		}
	}
	for _, number := range []string{"", "99", "002", "INTERNAL-IP"} {
		if e, err := Get(exercises[:2], number); err == nil || err.Error() != `there is no exercise "`+number+`": there are 01, 02` {
			t.Errorf("%q: %q, %v", number, e.Title, err)
		}
	}
}

func TestLocaleLanguage(t *testing.T) {
	for want, environments := range map[Language][]map[string]string{
		English: {{}, {"LANG": "C.UTF-8"}, {"LANG": "de_DE.UTF-8"}, {"LANG": "ko_KR.UTF-8", "LC_ALL": "C"}, {"LC_ALL": "en_US", "LC_MESSAGES": "ko_KR"}, {"LANG": "kok_IN"}},
		Korean:  {{"LANG": "ko"}, {"LANG": "ko_KR.UTF-8"}, {"LANG": "C", "LC_MESSAGES": "ko_KR.eucKR"}, {"LC_ALL": "ko_KR", "LANG": "en_US.UTF-8"}, {"LC_ALL": "", "LANG": "ko.UTF-8"}},
	} {
		for _, env := range environments {
			if got := LocaleLanguage(func(name string) string { return env[name] }); got != want {
				t.Errorf("%v: %q, not %q", env, got, want)
			}
		}
	}
	if l, err := ParseLanguage("de"); err == nil || err.Error() != `language "de" is unknown: write en or ko` {
		t.Errorf("de: %q, %v", l, err)
	}
}

const (
	good = "---\nnumber: 02\ntitle: {en: T, ko: 제목}\ngoal: {en: G, ko: 목표}\nneeds: cluster\nchecks: [net.a, net.b]\nfaults: [cut]\nhints:\n  - {en: h, ko: 힌트}\n---\n" +
		"Body {{.Name}}\n\n```console one\n$ a\nb\n```\n\nThen\n\n```text two\n$ c\n```\n"
	goodKorean = "본문 {{.Name}}\n\n```one\n```\n\n그리고\n\n```two\n```\n"
)

func known() Known { return Known{Checks: []string{"net.a", "net.b"}, Faults: []string{"cut"}} }

func TestLoad(t *testing.T) {
	crlf := strings.NewReplacer("02", "08", "\n", "\r\n")
	got, err := load(fstest.MapFS{
		"02-x.md": {Data: []byte(good)}, "ko/02-x.md": {Data: []byte(goodKorean)},
		"08-y-z.md": {Data: []byte(crlf.Replace(good))}, "ko/08-y-z.md": {Data: []byte(crlf.Replace(goodKorean))},
	}, known())
	if err != nil {
		t.Fatal(err)
	}
	want := Exercise{
		Number: "02", Title: Text{"T", "제목"}, Goal: Text{"G", "목표"}, Needs: Cluster, Checks: []string{"net.a", "net.b"}, Faults: []string{"cut"}, Hints: []Text{{"h", "힌트"}},
		Body: Text{
			EN: "Body {{.Name}}\n\n```console\n$ a\nb\n```\n\nThen\n\n```text\n$ c\n```\n",
			KO: "본문 {{.Name}}\n\n```console\n$ a\nb\n```\n\n그리고\n\n```text\n$ c\n```\n",
		},
	}
	eight := want
	eight.Number = "08"
	if diff := cmp.Diff([]Exercise{want, eight}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string][]string{"net.a": {"02", "08"}, "net.b": {"02", "08"}}, ByCheck(got)); diff != "" {
		t.Error(diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	both := fstest.MapFS{"02-x.md": {Data: []byte(good)}, "ko/02-x.md": {Data: []byte(goodKorean)}}
	with := func(file, content string) fstest.MapFS {
		files := maps.Clone(both)
		files[file] = &fstest.MapFile{Data: []byte(content)}
		return files
	}
	replaceIn := func(file, text, old, new string) fstest.MapFS {
		if !strings.Contains(text, old) {
			t.Fatalf("nothing to replace: %q", old)
		}
		return with(file, strings.Replace(text, old, new, 1))
	}
	replace := func(old, new string) fstest.MapFS { return replaceIn("02-x.md", good, old, new) }
	korean := func(old, new string) fstest.MapFS { return replaceIn("ko/02-x.md", goodKorean, old, new) }
	tests := map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"no files":          {fstest.MapFS{}, "there are no exercises"},
		"file name":         {fstest.MapFS{"2-X.md": {Data: []byte(good)}}, "2-X.md: an exercise's file is called NN-name.md, such as 02-internal-ip.md"},
		"no front matter":   {with("02-x.md", "# T\n"), "02-x.md: no front matter: the file must begin with YAML between two lines of three dashes"},
		"open front matter": {with("02-x.md", "---\nnumber: 02\n"), "02-x.md: no front matter: the file must begin with YAML between two lines of three dashes"},
		"two of a number": {fstest.MapFS{"02-x.md": both["02-x.md"], "ko/02-x.md": both["ko/02-x.md"], "02-y.md": both["02-x.md"], "ko/02-y.md": both["ko/02-x.md"]},
			"02-y.md: number 02 is already 02-x.md's"},
		"number":           {replace("number: 02", "number: 03"), `02-x.md:2: number "03" does not fit the file's name, which says 02`},
		"no number":        {replace("number: 02\n", ""), `02-x.md: number "" does not fit the file's name, which says 02`},
		"unknown field":    {replace("faults:", "fault:"), "02-x.md:7: unknown field \"fault\": did you mean \"faults\"?"},
		"title":            {replace("en: T, ", ""), "02-x.md:3: title.en must be one line of text"},
		"no Korean title":  {replace(", ko: 제목", ""), "02-x.md:3: title.ko must be one line of text"},
		"goal":             {replace("en: G", "en: ' '"), "02-x.md:4: goal.en must be one line of text"},
		"needs":            {replace("needs: cluster", "needs: pods"), `02-x.md:5: needs "pods" is unknown: write machines, cluster or demo`},
		"no checks":        {replace("checks: [net.a, net.b]", "checks: []"), "02-x.md:6: the exercise names no checks: nothing would prove it"},
		"unknown check":    {replace("net.b", "net.c"), `02-x.md:6: check "net.c" is unknown: there are net.a, net.b`},
		"check twice":      {replace("net.b", "net.a"), `02-x.md:6: check "net.a" is listed twice`},
		"unknown fault":    {replace("[cut]", "[cut, burn]"), `02-x.md:7: fault "burn" is unknown: there are cut`},
		"fault twice":      {replace("[cut]", "[cut, cut]"), `02-x.md:7: fault "cut" is listed twice`},
		"no hints":         {replace("hints:\n  - {en: h, ko: 힌트}\n", ""), "02-x.md: the exercise needs hints, from gentle to explicit"},
		"empty hint":       {replace("en: h, ", "en: '', "), "02-x.md:9: hints[0].en must be one line of text"},
		"no Korean hint":   {replace(", ko: 힌트", ""), "02-x.md:9: hints[0].ko must be one line of text"},
		"no text":          {fstest.MapFS{"02-x.md": {Data: []byte(good[:strings.Index(good, "Body")])}, "ko/02-x.md": {Data: []byte("본문\n")}}, "02-x.md: there is no text"},
		"wrong type, once": {replace("[net.a, net.b]", "net.a"), `02-x.md:6: checks must be a list (- value), not the text "net.a"`},
		"not YAML":         {replace("title: {en: T, ko: 제목}", "title: ["), "02-x.md:3: not YAML here or just above: did not find expected ',' or ']'"},
		"several, by files": {fstest.MapFS{"x.md": {Data: []byte(good)}, "03-y.md": {Data: []byte(good)}},
			"03-y.md:2: number \"02\" does not fit the file's name, which says 03\nx.md: an exercise's file is called NN-name.md, such as 02-internal-ip.md"},
		"kind of block":    {replace("```console one", "```bash one"), "02-x.md:13: a block begins with its kind (console, text, yaml) and name, not \"bash one\""},
		"nameless block":   {replace("```console one", "```console"), "02-x.md:13: a block begins with its kind (console, text, yaml) and name, not \"console\"\nko/02-x.md:3: block \"one\" is not in 02-x.md\nko/02-x.md: block \"\" of 02-x.md is missing"},
		"block in a block": {replace("\nb\n```", "\n```text b\n```"), "02-x.md:15: a block begins inside a block"},
		"open block":       {replace("$ c\n```\n", "$ c\n"), "02-x.md:20: the block is not closed"},
		"name twice":       {replace("text two", "text one"), "02-x.md:20: block \"one\" is there twice\nko/02-x.md:8: block \"two\" is not in 02-x.md"},

		"no Korean text":       {fstest.MapFS{"02-x.md": both["02-x.md"]}, "02-x.md: the Korean text ko/02-x.md is missing"},
		"empty Korean text":    {with("ko/02-x.md", "\n"), "ko/02-x.md: there is no text\nko/02-x.md: block \"one\" of 02-x.md is missing\nko/02-x.md: block \"two\" of 02-x.md is missing"},
		"Korean text of none":  {with("ko/03-y.md", goodKorean), "ko/03-y.md: there is no exercise 03-y.md to be the Korean text of"},
		"block missing":        {korean("```two\n```\n", ""), `ko/02-x.md: block "two" of 02-x.md is missing`},
		"unknown block":        {korean("```two", "```three"), "ko/02-x.md:8: block \"three\" is not in 02-x.md\nko/02-x.md: block \"two\" of 02-x.md is missing"},
		"block with content":   {korean("```two\n", "```two\n$ c\n"), `ko/02-x.md:8: block "two" must be empty: it is filled from 02-x.md`},
		"blocks out of order":  {with("ko/02-x.md", "본문\n```two\n```\n```one\n```\n"), "ko/02-x.md:2: block \"two\" stands where 02-x.md has \"one\"\nko/02-x.md:4: block \"one\" stands where 02-x.md has \"two\""},
		"block of its own":     {korean("```two", "```console two"), "ko/02-x.md:8: a block begins with the name of a block of the English text, not \"console two\"\nko/02-x.md:8: block \"console two\" is not in 02-x.md\nko/02-x.md: block \"two\" of 02-x.md is missing"},
		"Korean block is open": {korean("```two\n```\n", "```two\n"), "ko/02-x.md:8: the block is not closed\nko/02-x.md:8: block \"two\" must be empty: it is filled from 02-x.md"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := load(test.files, known())
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRenderRefuses(t *testing.T) {
	for _, text := range []string{"{{.Nobody}}", "{{", "{{index .Agents 9}}"} {
		in := Text{KO: text}
		for name, e := range map[string]Exercise{"title": {Number: "02", Title: in}, "goal": {Number: "02", Goal: in}, "body": {Number: "02", Body: in}, "hint": {Number: "02", Hints: []Text{in}}} {
			if _, err := Render(e, English, config.Default()); err != nil {
				t.Errorf("%s %q: %v in the other language", name, text, err)
			}
			if _, err := Render(e, Korean, config.Default()); err == nil || !strings.HasPrefix(err.Error(), `exercise "02": template: `+name) {
				t.Errorf("%s %q: error %v", name, text, err)
			}
		}
	}
}

func TestSteps(t *testing.T) {
	got := Steps("Text\n$ no\n```text\n$ no\n```\n```console\n$ labctl up\n$ labctl ssh w1 -- a $ b\nout\n\n  more\nme@w1:~$ a | b\n```\nText\n```yaml\nk3s:\n  kubeProxyMode: ipvs\n```\n```console\nme@cp1:~$ c\n$1\n```\n")
	want := []Step{
		{Command: "labctl up"}, {Command: "labctl ssh w1 -- a $ b", Output: "out\n\n  more\n"}, {Node: "w1", Command: "a | b"},
		{LabFile: "k3s:\n  kubeProxyMode: ipvs\n"}, {Node: "cp1", Command: "c", Output: "$1\n"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzExercise reads any text as an exercise, in both languages: an error names the file, and what is read is whole.
func FuzzExercise(f *testing.F) {
	f.Add(good, goodKorean)
	f.Add(strings.ReplaceAll(good, "\n", "\r\n"), goodKorean)
	f.Add("---\nnumber: 02\n---\n```", "```one\n```two\n")
	names, err := fs.Glob(files, "*.md")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		own, err := fs.ReadFile(files, name)
		korean, kerr := fs.ReadFile(files, koreanFolder+"/"+name)
		if err != nil || kerr != nil {
			f.Fatal(err, kerr)
		}
		f.Add(string(own), string(korean))
	}
	f.Fuzz(func(t *testing.T, own, korean string) {
		exercises, err := load(fstest.MapFS{"02-x.md": {Data: []byte(own)}, "ko/02-x.md": {Data: []byte(korean)}}, known())
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "02-x.md:") && !strings.HasPrefix(line, "ko/02-x.md:") {
					t.Errorf("a problem without its place: %q", line)
				}
			}
			return
		}
		if len(exercises) != 1 || exercises[0].Number != "02" || len(exercises[0].Checks) == 0 || exercises[0].Body.EN == "" || exercises[0].Body.KO == "" {
			t.Errorf("an exercise that is not whole: %+v", exercises)
		}
	})
}
