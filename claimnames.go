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

// claimOf returns the claim of a member's name, and whether the name is in the
// camelCase spelling that ReachFive's browser SDK uses.
func claimOf(name []byte) (c claim, camel bool) {
	switch string(name) {
	case "iss":
		return claimIss, false
	case "aud":
		return claimAud, false
	case "azp":
		return claimAzp, false
	case "exp":
		return claimExp, false
	case "iat":
		return claimIat, false
	case "nbf":
		return claimNbf, false
	case "auth_time":
		return claimAuthTime, false
	case "authTime":
		return claimAuthTime, true
	case "sub":
		return claimSub, false
	case "email":
		return claimEmail, false
	case "email_verified":
		return claimEmailVerified, false
	case "emailVerified":
		return claimEmailVerified, true
	case "phone_number":
		return claimPhoneNumber, false
	case "phoneNumber":
		return claimPhoneNumber, true
	case "phone_number_verified":
		return claimPhoneNumberVerified, false
	case "phoneNumberVerified":
		return claimPhoneNumberVerified, true
	case "updated_at":
		return claimUpdatedAt, false
	case "updatedAt":
		return claimUpdatedAt, true
	case "nonce":
		return claimNonce, false
	case "at_hash":
		return claimAtHash, false
	case "atHash":
		return claimAtHash, true
	case "acr":
		return claimACR, false
	case "amr":
		return claimAMR, false
	case "auth_type":
		return claimAuthType, false
	case "authType":
		return claimAuthType, true
	case "new_user":
		return claimNewUser, false
	case "newUser":
		return claimNewUser, true
	case "name":
		return claimName, false
	case "given_name":
		return claimGivenName, false
	case "givenName":
		return claimGivenName, true
	case "family_name":
		return claimFamilyName, false
	case "familyName":
		return claimFamilyName, true
	case "middle_name":
		return claimMiddleName, false
	case "middleName":
		return claimMiddleName, true
	case "nickname":
		return claimNickname, false
	case "preferred_username":
		return claimPreferredUsername, false
	case "preferredUsername":
		return claimPreferredUsername, true
	case "gender":
		return claimGender, false
	case "birthdate":
		return claimBirthdate, false
	case "locale":
		return claimLocale, false
	case "zoneinfo":
		return claimZoneinfo, false
	case "website":
		return claimWebsite, false
	case "picture":
		return claimPicture, false
	case "profile":
		return claimProfile, false
	case "address":
		return claimAddress, false
	case "custom_identifier":
		return claimCustomIdentifier, false
	case "customIdentifier":
		return claimCustomIdentifier, true
	case "external_id":
		return claimExternalID, false
	case "externalId":
		return claimExternalID, true
	case "custom_fields":
		return claimCustomFields, false
	case "customFields":
		return claimCustomFields, true
	case "events":
		return claimEvents, false
	case "scope":
		return claimScope, false
	case "scp":
		return claimScp, false
	case "client_id":
		return claimClientID, false
	}
	return noClaim, false
}
