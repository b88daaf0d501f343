package labs

import "fmt"

// particle writes a value that ends in a digit with the Korean particle behind it: first is the one after a consonant (은, 이, 을, 으로),
// second the one after a vowel. What counts is how the digit is read: 3 is 삼, 2 is 이. As a rule of Korean, ㄹ (1 일, 7 칠, 8 팔) is
// followed by 로.
func particle(value any, first, second string) (string, error) {
	text := fmt.Sprint(value)
	if text == "" || text[len(text)-1] < '0' || text[len(text)-1] > '9' {
		return "", fmt.Errorf("%q does not end in a digit", text)
	}
	switch text[len(text)-1] {
	case '2', '4', '5', '9':
		return text + second, nil
	case '1', '7', '8':
		if first == "으로" {
			return text + second, nil
		}
	}
	return text + first, nil
}
