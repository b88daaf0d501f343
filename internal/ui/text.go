package ui

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// color is the number of an SGR sequence.
type color int

const (
	plain color = 0
	red   color = 31
	green color = 32
	cyan  color = 36
)

// paint colours text for standard error.
func (p *Printer) paint(c color, text string) string {
	if !p.stderrColor || c == plain || text == "" {
		return text
	}
	word := strings.TrimRight(text, " ")
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m%s", c, word, text[len(word):])
}

// What escape leaves alone.
const (
	keepLines = "\n\t"
	oneLine   = ""
)

// escape shows control characters, characters that change the direction or cannot be seen, and bytes that are not
// UTF-8 as backslash escapes: text from a guest or a program must not move the cursor or repaint the screen. Runes in
// keep are left alone; a CR before a newline is dropped, as consoles end lines with both.
func escape(s, keep string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case strings.ContainsRune(keep, r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// cut shortens s to so many columns of a terminal. Everything from Hangul on counts two: for some characters that is
// one too many, but a line is never too long.
func cut(s string, columns int) string {
	const firstWide = 0x1100
	used, fits := 0, 0 // columns; bytes that leave room for the sign of the cut
	for i, r := range s {
		if used < columns {
			fits = i
		}
		used++
		if r >= firstWide {
			used++
		}
		if used > columns {
			return s[:fits] + ">"
		}
	}
	return s
}

// Table prints rows under a header to standard output, in columns. A cell is one line whatever it holds.
func (p *Printer) Table(header []string, rows [][]string) {
	all := append([][]string{header}, rows...)
	var widths []int
	for _, row := range all {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(escape(cell, oneLine)))
		}
	}
	lines := make([]string, len(all))
	for i, row := range all {
		var b strings.Builder
		for j, cell := range row {
			fmt.Fprintf(&b, "%-*s   ", widths[j], escape(cell, oneLine))
		}
		lines[i] = strings.TrimRight(b.String(), " ")
	}
	p.Print(strings.Join(lines, "\n"))
}
