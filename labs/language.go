package labs

import (
	"fmt"
	"slices"
	"strings"
)

// Language is a language of the exercises.
type Language string

// The languages.
const (
	English Language = "en"
	Korean  Language = "ko"
)

// Languages returns them all.
func Languages() []Language { return []Language{English, Korean} }

// ParseLanguage returns the language called s.
func ParseLanguage(s string) (Language, error) {
	if l := Language(s); slices.Contains(Languages(), l) {
		return l, nil
	}
	return "", fmt.Errorf("language %q is unknown: write %s or %s", s, English, Korean)
}

// LocaleLanguage returns the language of messages that the environment asks for, English if the exercises don't have it. As POSIX
// says, LC_ALL goes before LC_MESSAGES and that before LANG, and an empty one counts for nothing.
func LocaleLanguage(getenv func(string) string) Language {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := getenv(name); locale != "" {
			language, _, _ := strings.Cut(locale, ".") // ko_KR.UTF-8
			language, _, _ = strings.Cut(language, "_")
			if l, err := ParseLanguage(language); err == nil {
				return l
			}
			return English
		}
	}
	return English
}

// Text is a text in every language.
type Text struct {
	EN string `yaml:"en"`
	KO string `yaml:"ko"`
}

// In returns the text in a language.
func (t Text) In(l Language) string {
	if l == Korean {
		return t.KO
	}
	return t.EN
}
