package labs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestParticle(t *testing.T) {
	for value, want := range map[string]string{
		"10.42.0.0/24": "10.42.0.0/24는 10.42.0.0/24로", "172.20.0.0/20": "172.20.0.0/20은 172.20.0.0/20으로", "192.168.56.11": "192.168.56.11은 192.168.56.11로",
		"31885": "31885는 31885로", "3": "3은 3으로", "6": "6은 6으로", "7": "7은 7로", "8": "8은 8로", "9": "9는 9로", "2": "2는 2로", "4": "4는 4로",
	} {
		topic, err := particle(value, "은", "는")
		if err != nil {
			t.Fatal(err)
		}
		to, err := particle(value, "으로", "로")
		if err != nil {
			t.Fatal(err)
		}
		if got := topic + " " + to; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got, err := particle("cp1 노드", "은", "는"); err == nil {
		t.Errorf("a value without a digit at its end becomes %q", got)
	}
}

// Which particle is right depends on the lab, so none may follow a value as fixed text.
func TestNoParticleBehindAValue(t *testing.T) {
	fixed := regexp.MustCompile("\\{\\{\\(?[.$][^}]*\\}\\}`?(은|는|이|가|을|를|과|와|로|으로)[ ,.]")
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	korean, err := filepath.Glob("ko/*.md")
	if err != nil || len(korean) == 0 {
		t.Fatal(err, "no Korean texts")
	}
	for _, file := range append(files, korean...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(data), "\n") {
			for _, found := range fixed.FindAllString(line, -1) {
				t.Errorf("%s:%d: %s", file, i+1, found)
			}
		}
	}
}
