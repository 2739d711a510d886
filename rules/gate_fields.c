#include "rules/gate_fields.h"

#include <stddef.h>
#include <string.h>

/* Words with single blanks between them. */
static bool listed(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = list; *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");
		if (len == n && memcmp(p, word, n) == 0)
			return true;
		p += len;
	}
	return false;
}

static const char common[] = "type spec_version id created_by_ref created modified revoked labels confidence lang "
			     "external_references object_marking_refs granular_markings extensions defanged";

static const struct row {
	const char *type, *required, *optional;
} rows[] = {
    {"attack-pattern", "created modified name", "description aliases kill_chain_phases"},
    {"campaign", "created modified name", "description aliases first_seen last_seen objective"},
    {"course-of-action", "created modified name", "description action"},
    {"grouping", "created modified context object_refs", "name description"},
    {"identity", "created modified name", "description roles identity_class sectors contact_information"},
    {"incident", "created modified name", "description"},
    {"indicator", "created modified pattern pattern_type valid_from",
     "name description indicator_types pattern_version valid_until kill_chain_phases"},
    {"infrastructure", "created modified name",
     "description infrastructure_types aliases kill_chain_phases first_seen last_seen"},
    {"intrusion-set", "created modified name",
     "description aliases first_seen last_seen goals resource_level primary_motivation secondary_motivations"},
    {"location", "created modified",
     "name description latitude longitude precision region country administrative_area city street_address "
     "postal_code"},
    {"malware", "created modified is_family",
     "name description malware_types aliases kill_chain_phases first_seen last_seen operating_system_refs "
     "architecture_execution_envs implementation_languages capabilities sample_refs"},
    {"malware-analysis", "created modified product",
     "version host_vm_ref operating_system_ref installed_software_refs configuration_version modules "
     "analysis_engine_version analysis_definition_version submitted analysis_started analysis_ended result_name "
     "result analysis_sco_refs sample_ref"},
    {"note", "created modified content object_refs", "abstract authors"},
    {"observed-data", "created modified first_observed last_observed number_observed", "object_refs objects"},
    {"opinion", "created modified opinion object_refs", "explanation authors"},
    {"report", "created modified name published object_refs", "description report_types"},
    {"threat-actor", "created modified name",
     "description threat_actor_types aliases first_seen last_seen roles goals sophistication resource_level "
     "primary_motivation secondary_motivations personal_motivations"},
    {"tool", "created modified name", "description tool_types aliases kill_chain_phases tool_version"},
    {"vulnerability", "created modified name", "description"},
    {"relationship", "created modified relationship_type source_ref target_ref", "description start_time stop_time"},
    {"sighting", "created modified sighting_of_ref",
     "description first_seen last_seen count observed_data_refs where_sighted_refs summary"},
    {"marking-definition", "created", "name definition_type definition"},
    {"language-content", "created modified object_ref contents", "object_modified"},
    {"extension-definition", "created modified name schema version extension_types",
     "description extension_properties"},
    {"artifact", "", "mime_type payload_bin url hashes encryption_algorithm decryption_key"},
    {"autonomous-system", "number", "name rir"},
    {"directory", "path", "path_enc ctime mtime atime contains_refs"},
    {"domain-name", "value", "resolves_to_refs"},
    {"email-addr", "value", "display_name belongs_to_ref"},
    {"email-message", "is_multipart",
     "date content_type from_ref sender_ref to_refs cc_refs bcc_refs message_id subject received_lines "
     "additional_header_fields body body_multipart raw_email_ref"},
    {"file", "",
     "hashes size name name_enc magic_number_hex mime_type ctime mtime atime parent_directory_ref contains_refs "
     "content_ref"},
    {"ipv4-addr", "value", "resolves_to_refs belongs_to_refs"},
    {"ipv6-addr", "value", "resolves_to_refs belongs_to_refs"},
    {"mac-addr", "value", ""},
    {"mutex", "name", ""},
    {"network-traffic", "protocols",
     "start end is_active src_ref dst_ref src_port dst_port src_byte_count dst_byte_count src_packets dst_packets "
     "ipfix src_payload_ref dst_payload_ref encapsulates_refs encapsulated_by_ref"},
    {"process", "",
     "is_hidden pid created_time cwd command_line environment_variables opened_connection_refs creator_user_ref "
     "image_ref parent_ref child_refs"},
    {"software", "name", "cpe swid languages vendor version"},
    {"url", "value", ""},
    {"user-account", "",
     "user_id credential account_login account_type display_name is_service_account is_privileged can_escalate_privs "
     "is_disabled account_created account_expires credential_last_changed account_first_login account_last_login"},
    {"windows-registry-key", "", "key values modified_time creator_user_ref number_of_subkeys"},
    {"x509-certificate", "",
     "is_self_signed hashes version serial_number signature_algorithm issuer validity_not_before validity_not_after "
     "subject subject_public_key_algorithm subject_public_key_modulus subject_public_key_exponent x509_v3_extensions"},
};
#define ROWS (sizeof(rows) / sizeof(*rows))

static const struct row *row_of(const char *type)
{
	for (size_t i = 0; i < ROWS; i++)
		if (strcmp(rows[i].type, type) == 0)
			return &rows[i];
	return NULL;
}

bool fields_known(const char *type, const char *field)
{
	const struct row *r = row_of(type);
	return listed(common, field) || (r && (listed(r->required, field) || listed(r->optional, field)));
}

bool fields_required(const char *type, const char *field)
{
	const struct row *r = row_of(type);
	return listed("type id", field) || (r && listed(r->required, field));
}

void fields_each_required(const char *type, void (*fn)(void *arg, const char *field), void *arg)
{
	const struct row *r = row_of(type);
	char word[64];
	for (const char *p = r ? r->required : ""; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");
		memcpy(word, p, n);
		word[n] = '\0';
		fn(arg, word);
		p += n;
	}
}

bool fields_holds_maps(const char *field)
{
	return listed("external_references kill_chain_phases granular_markings extensions definition hashes contents "
		      "objects ipfix environment_variables additional_header_fields body_multipart values "
		      "x509_v3_extensions extension_properties",
		      field);
}

bool fields_member_known(const char *field, const char *member)
{
	if (strcmp(field, "external_references") == 0)
		return listed("source_name description url hashes external_id", member);
	if (strcmp(field, "kill_chain_phases") == 0)
		return listed("kill_chain_name phase_name", member);
	if (strcmp(field, "definition") == 0)
		return listed("statement", member);
	return true;
}

bool fields_extension_known(const char *name)
{
	return listed("archive-ext ntfs-ext pdf-ext raster-image-ext windows-pebinary-ext http-request-ext icmp-ext "
		      "socket-ext tcp-ext windows-process-ext windows-service-ext unix-account-ext x-picket-ext "
		      "x-picket-tls-ext",
		      name);
}
