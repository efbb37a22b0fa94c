package reachfive

// claim is a claim that this package reads.
type claim uint8

const (
	noClaim claim = iota
	claimIss
	claimAud
	claimAzp
	claimExp
	claimIat
	claimNbf
	claimAuthTime
	claimSub
	claimEmail
	claimEmailVerified
	claimPhoneNumber
	claimPhoneNumberVerified
	claimUpdatedAt
	claimNonce
	claimAtHash
	claimACR
	claimAMR
	claimAuthType
	claimNewUser
	claimName
	claimGivenName
	claimFamilyName
	claimMiddleName
	claimNickname
	claimPreferredUsername
	claimGender
	claimBirthdate
	claimLocale
	claimZoneinfo
	claimWebsite
	claimPicture
	claimProfile
	claimAddress
	claimCustomIdentifier
	claimExternalID
	claimCustomFields
	// An ID token has none of the following.
	claimEvents
	claimScope
	claimScp
	claimClientID
	claims // the number of claims
)

// wireName returns the claim's name on the wire, for the claims that an error can
// name.
func (c claim) wireName() string {
	return [claims]string{
		claimIss: "iss", claimAud: "aud", claimAzp: "azp", claimExp: "exp", claimIat: "iat",
		claimNbf: "nbf", claimAuthTime: "auth_time", claimSub: "sub",
		claimEmail: "email", claimEmailVerified: "email_verified",
		claimPhoneNumber: "phone_number", claimPhoneNumberVerified: "phone_number_verified",
		claimEvents: "events", claimScope: "scope", claimScp: "scp", claimClientID: "client_id",
	}[c]
}

// claimOf returns the claim of a member's name, in the spelling on the wire or in
// the camelCase one that ReachFive's browser SDK uses.
func claimOf(name []byte) claim {
	switch string(name) {
	case "iss":
		return claimIss
	case "aud":
		return claimAud
	case "azp":
		return claimAzp
	case "exp":
		return claimExp
	case "iat":
		return claimIat
	case "nbf":
		return claimNbf
	case "auth_time", "authTime":
		return claimAuthTime
	case "sub":
		return claimSub
	case "email":
		return claimEmail
	case "email_verified", "emailVerified":
		return claimEmailVerified
	case "phone_number", "phoneNumber":
		return claimPhoneNumber
	case "phone_number_verified", "phoneNumberVerified":
		return claimPhoneNumberVerified
	case "updated_at", "updatedAt":
		return claimUpdatedAt
	case "nonce":
		return claimNonce
	case "at_hash", "atHash":
		return claimAtHash
	case "acr":
		return claimACR
	case "amr":
		return claimAMR
	case "auth_type", "authType":
		return claimAuthType
	case "new_user", "newUser":
		return claimNewUser
	case "name":
		return claimName
	case "given_name", "givenName":
		return claimGivenName
	case "family_name", "familyName":
		return claimFamilyName
	case "middle_name", "middleName":
		return claimMiddleName
	case "nickname":
		return claimNickname
	case "preferred_username", "preferredUsername":
		return claimPreferredUsername
	case "gender":
		return claimGender
	case "birthdate":
		return claimBirthdate
	case "locale":
		return claimLocale
	case "zoneinfo":
		return claimZoneinfo
	case "website":
		return claimWebsite
	case "picture":
		return claimPicture
	case "profile":
		return claimProfile
	case "address":
		return claimAddress
	case "custom_identifier", "customIdentifier":
		return claimCustomIdentifier
	case "external_id", "externalId":
		return claimExternalID
	case "custom_fields", "customFields":
		return claimCustomFields
	case "events":
		return claimEvents
	case "scope":
		return claimScope
	case "scp":
		return claimScp
	case "client_id":
		return claimClientID
	}
	return noClaim
}
