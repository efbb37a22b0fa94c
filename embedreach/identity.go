package embedreach

import (
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFieldBytes limits every field, so that a token fits into a header.
const maxFieldBytes = 255

// Identity is the user, and the business for which the user acts, as sent to
// Reach. Every field is required: at most 255 bytes of valid UTF-8 without
// control characters, and not blank. The zero value is refused. Printing an
// Identity shows none of its values.
type Identity struct {
	// Email is the user's bare address, without a display name.
	Email string
	// Name is the user's display name.
	Name string
	// ExternalID is the user's ID in your own system: the subject of the ID
	// token, or your own key for it. Never reuse one for another person.
	ExternalID string
	// TenantExternalID is the ID of the user's business in your own system.
	// It determines whose data the user sees.
	TenantExternalID string
}

// Format prints a fixed text for every verb: the fields are personal data.
func (Identity) Format(f fmt.State, _ rune) {
	_, _ = f.Write([]byte("embedreach.Identity(redacted)"))
}

// LogValue gives slog the same fixed text.
func (Identity) LogValue() slog.Value { return slog.StringValue("embedreach.Identity(redacted)") }

// FieldError names a field that Reach would not accept, and the reason. It never
// contains the field's value.
type FieldError struct {
	// Field is the name on the wire: email, name, externalId,
	// tenantExternalId or partnerId.
	Field string

	rule string
}

// Error returns the field's name and the rule that it breaks.
func (e *FieldError) Error() string { return "embedreach: " + e.Field + " " + e.rule }

func (id Identity) check() error {
	return errors.Join(
		checkEmail(id.Email),
		checkText("name", id.Name),
		checkText("externalId", id.ExternalID),
		checkText("tenantExternalId", id.TenantExternalID),
	)
}

// checkEmail accepts only the bare address, as Reach compares and shows it, and
// refuses anything that net/mail would strip or unquote.
func checkEmail(email string) error {
	if err := checkText("email", email); err != nil {
		return err
	}
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email {
		return &FieldError{Field: "email", rule: "is not a bare e-mail address"}
	}
	return nil
}

func checkText(field, value string) error {
	switch {
	case value == "":
		return &FieldError{Field: field, rule: "is empty"}
	case len(value) > maxFieldBytes:
		return &FieldError{Field: field, rule: fmt.Sprintf("has more than %d bytes", maxFieldBytes)}
	case !utf8.ValidString(value):
		// encoding/json would replace the bad bytes, and two users could
		// become one.
		return &FieldError{Field: field, rule: "is not valid UTF-8"}
	case strings.ContainsFunc(value, unicode.IsControl):
		return &FieldError{Field: field, rule: "has a control character"}
	case !strings.ContainsFunc(value, visible):
		return &FieldError{Field: field, rule: "is blank"}
	}
	return nil
}

// visible is stricter than "not a space": it excludes a zero-width space.
func visible(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }
